"""A hundred years of jobs and tasks, with everything that can go wrong in them."""
