"""A run's life: plan, hold, dispatch, meter, settle."""
