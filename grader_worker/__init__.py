"""Workers that lease submissions over the XQueue protocol, grade them in a sandbox and answer."""
