def write_report(b): pass
