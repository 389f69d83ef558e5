"""The queue server: takes submissions from an LMS, leases them to graders, delivers the grades."""
