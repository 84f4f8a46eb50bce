"""The tube reward in the form that other trainers call; each module names the release that it was checked against."""
