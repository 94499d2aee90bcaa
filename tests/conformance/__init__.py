"""What every store must do, written once. A new store joins by one line in `stores.STORES`."""
