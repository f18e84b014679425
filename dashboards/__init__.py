"""The source of the Grafana dashboards: `python -m dashboards` writes their JSON under infrastructure/."""
