"""What every facade needs that is given bare requests: bodies read in any form, answers in JSON."""
