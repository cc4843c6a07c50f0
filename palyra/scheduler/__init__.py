"""Jobs that start by themselves: schedules, what is done about missed times, fires and their attempts."""
