"""Every slot a job should ever have had, found day after day in the plainest way."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from palyra.core.durations import parse_duration_ms
from palyra.core.instants import parse_instant_ms
from palyra.journal.job_rows import JobRow
from tests.scheduler.calendar_oracle import Oracle

DAY = timedelta(days=1)


class Calendar(Oracle):
    """Instants of a cron expression, as its oracle says, without a look at every minute of a century."""

    def between(self, since: int, until: int) -> list[int]:
        """Instants in ms within (since, until]."""
        if self.parts[0].startswith("*") or self.parts[1].startswith("*"):
            return list(self._real(since - since % 60_000, until))
        found = {at for reading in self._readings(since, until) if (at := self._instant(reading)) is not None}
        return sorted(at for at in found if since < at <= until)

    def _readings(self, since: int, until: int) -> Iterator[datetime]:
        minutes, hours, *_ = self.sets
        day = datetime.fromtimestamp(since // 1000, UTC).replace(tzinfo=None, hour=0, minute=0, second=0) - 2 * DAY
        end = datetime.fromtimestamp(until // 1000, UTC).replace(tzinfo=None) + 2 * DAY
        any_time = min(hours), min(minutes)
        while day < end:
            if self.fires_at(day.replace(hour=any_time[0], minute=any_time[1])):
                for hour in sorted(hours):
                    for minute in sorted(minutes):
                        yield day.replace(hour=hour, minute=minute)
            day += DAY


def slots_of(job: JobRow, until: int) -> list[int]:
    """The slots between a job's creation and an instant, unless its clock was turned back; ms."""
    since = job.created_at
    match job.schedule:
        case "cron":
            return Calendar(job.expression, job.timezone).between(since, until)
        case "at":
            return [at for at in [parse_instant_ms(job.expression)] if since < at <= until]
    interval = parse_duration_ms(job.expression)
    return list(range(since + interval, until + 1, interval))
