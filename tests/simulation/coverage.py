"""What a month must have seen to be worth its time.

Numbers are far below what months usually see: any change of the engine's course makes another month of the same seed.
"""

LEAST = {
    "requests": 1_000,
    "holds": 400,
    "slices": 300,
    "killed": 8,
    "recovered": 3,
    "comparisons": 20,
    "grant:once": 3,
    "grant:session": 2,
    "grant:timeboxed": 2,
    "grant:amount": 2,
    "drawn:once": 1,
    "drawn:amount": 1,
    "grant void": 1,
    "grant revoked": 1,
    "grant expired": 1,
    "outcome cancelled/client_gone 410": 2,
    "outcome refused/budget_exceeded 402": 10,
    "outcome refused/budget_approval_required 402": 5,
    "command edit_policy accepted": 10,
    "command add_policy accepted": 2,
    "command remove_policy accepted": 1,
    "command decide_approval conflict": 2,
    "disk full": 1,
    "clock set right": 1,
    "usage:provider": 200,
    "usage:metered": 10,
    "usage:uncertain": 2,
    "price:unknown_flat": 2,
    "price:free": 20,
    "parking comment": 2,
    "visitor left": 20,
}
"""Counted at least so often."""

SELDOM = {
    "unhealthy": "nobody tells the planner yet how providers do",
    "stream_cut_budget": "told by the run, whose decision was made before",
    "hold_recovered": "as before",
    "not_allowed_for_key": "only where a key may use none of the models that could serve",
    "budget_allowed_premium_model": "needs a demanding request of the messages wire while every budget is under soft",
    "budget_withheld_premium_model": "as before, with a budget over soft",
    "smart_routing_disabled": "only while the file says so",
    "output_clamped": "only where nothing but blocking budgets stops a plain call",
    "mode_raised": "only while the file asks for less than a caller does",
    "mode_dry_run": "only while the file or a budget says so",
    "mode_suggest": "only while the file or a budget says so",
    "budget_denied": "only where somebody denied asks again within a minute",
    "context_too_long": "only for the longest prompts on the smallest models",
    "fastest_capable": "only for the rarest task class",
    "policy_model_incapable": "only where a budget names a model of the other wire",
}
"""Reason codes that a month may go by without, and why."""
