"""Values and rules of the trade. No I/O, no clock, no thread, no library of the outside world."""
