"""What the headers of an answer tell about its run."""

from palyra.core.money import decimal_usd
from palyra.gateway.reply import Header
from palyra.providers.wires import Wire
from palyra.runs.request import RunReport


def report_headers(report: RunReport, wire: Wire, *, amounts: bool) -> list[Header]:
    """The headers for what is known by now; `amounts` False leaves money out."""
    headers: list[Header] = []
    if report.run_id:
        request_id = "request-id" if wire is Wire.MESSAGES else "x-request-id"
        headers += [(request_id, report.run_id), ("X-Palyra-Run", report.run_id)]
    for name, value in (
        ("X-Palyra-Decision", report.decision_id),
        ("X-Palyra-Approval", report.approval_id),
        ("X-Palyra-Model", report.model),
        ("X-Palyra-Outcome", report.outcome),
        ("X-Palyra-Usage-Source", report.usage_source),
    ):
        if value:
            headers.append((name, value))
    if report.attempts:
        headers.append(("X-Palyra-Attempts", str(report.attempts)))
    if report.cached is not None:
        headers.append(("X-Palyra-Cache", "hit" if report.cached else "miss"))
    if report.reason_codes:
        headers.append(("X-Palyra-Reason", ", ".join(report.reason_codes)))
    if report.would_block:
        headers.append(("X-Palyra-Would-Block", ", ".join(report.would_block)))
    if report.output_clamped is not None:
        headers.append(("X-Palyra-Output-Clamped", str(report.output_clamped)))
    if amounts:
        if report.bound_usd is not None:
            headers.append(("X-Palyra-Bound-Usd", decimal_usd(report.bound_usd)))
        if report.cost_usd is not None:
            headers.append(("X-Palyra-Cost-Usd", decimal_usd(report.cost_usd)))
    return headers
