project = "A Small Book of Robots"
language = "en"
extensions = ["sphinx.ext.mathjax"]
html_copy_source = False
