"""Tables in files: dialects, kinds of columns, what is fitted on the training part."""
