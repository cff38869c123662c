"""Who may do what on the web: sign-in, sessions, access rules, request origin."""
