"""The trial dataset in CDISC form: one module per dataset, tables in and tables out."""
