"""Templates for saved pictures: self-contained files without network access."""

# For Rich's export_html, which fills in the braces. Text without a colour follows the reader's light or dark mode.
HTML_FORMAT = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gptcli</title>
<style>
{stylesheet}
:root {{ color-scheme: light dark; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{ color: #1b1b1f; background: #ffffff; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ececf0; background: #15161a; }} }}
pre {{ overflow-x: auto; font: 0.875rem/1.25 "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
code {{ font: inherit; }}
</style>
</head>
<body>
<pre><code>{code}</code></pre>
</body>
</html>
"""
