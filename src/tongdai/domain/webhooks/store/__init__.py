"""All SQL of webhooks: endpoints, deliveries as people see them, and the sending of them."""
