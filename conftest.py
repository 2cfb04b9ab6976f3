"""perfsuite's own tests need pytester; everything else comes from the plugin."""

pytest_plugins = ["pytester"]
