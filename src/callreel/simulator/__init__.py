"""The stand-in carrier: places calls as the carrier does, signs as it does, and fails as it does, on request."""
