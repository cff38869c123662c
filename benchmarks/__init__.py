"""What Callreel costs: measurements that are part of the product. Run them by `make bench`; figures: docs/performance.md."""
