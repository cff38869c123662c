"""Commands of the panel *Diagnose*: the installation, its settings, and the ASR engines."""
