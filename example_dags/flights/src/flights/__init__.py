"""Will a flight arrive late? A team's own model code, on the real flights of 2013."""
