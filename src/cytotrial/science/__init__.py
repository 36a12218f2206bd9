"""Arrays and tables in, arrays and tables out: opens no file, reads no setting."""
