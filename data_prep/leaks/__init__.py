"""Does a text state coordinates or times that it must not know?"""
