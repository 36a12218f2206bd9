"""The trial dataset in CDISC form: one module per format, all driven by one specification table."""
