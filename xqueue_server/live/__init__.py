"""Live streams for pages that are open: Server-Sent Events, in a process of their own."""
