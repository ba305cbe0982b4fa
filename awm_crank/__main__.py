"""`python -m awm_crank` is `awm-crank`."""

from .cli import main

raise SystemExit(main())
