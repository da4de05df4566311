"""Addresses of a Turkle server, as its own installation has them; see turkle_site.py."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("turkle.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("turkle.api.urls")),
    path("", include("django.contrib.auth.urls")),
]
