"""What the server of `tests.unit.victims` imports before it forks."""

from tests.unit.victims import import_all

import_all()
