"""Media sockets on the public port: handshake, protocol driver, batched reads, media workers."""
