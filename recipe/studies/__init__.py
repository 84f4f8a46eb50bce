"""The paper's tables and figures, and what `make grpo` ends with; nothing else imports them."""
