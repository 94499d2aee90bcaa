from shop.tasks import ship

handle = ship.handler
