"""``python -m mixpro_bench`` is the same as the ``mixpro-bench`` script."""

from mixpro_bench.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
