"""What requests must look like. The schemas themselves are in `openapi.yaml`; here is what reads and applies them."""
