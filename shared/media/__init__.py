"""Files before they are sent: ``file_names``, ``file_types`` (the table of what may be sent), ``content_facts`` (what the bytes
say), ``judging`` (all of these together), ``unpacking``, ``storage_folder`` (where they lie meanwhile).
"""
