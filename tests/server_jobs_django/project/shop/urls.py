import json

from django.contrib import admin
from django.db import transaction
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from generated.jobs import SendEmail

from .models import Order


@csrf_exempt
@transaction.atomic
def place_order(request):
    order = Order.objects.create(**json.loads(request.body))
    job = SendEmail.later_sync({"to": order.email, "subject": f"Order {order.pk}"})
    return JsonResponse({"job": job})


@csrf_exempt
async def place_order_async(request):
    order = await Order.objects.acreate(**json.loads(request.body))
    job = await SendEmail.later({"to": order.email, "subject": f"Order {order.pk}"})
    return JsonResponse({"job": job})


urlpatterns = [
    path("orders", place_order),
    path("async/orders", place_order_async),
    path("admin/", admin.site.urls),
]
