from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("email", models.EmailField(max_length=254)),
                ("mailed", models.BooleanField(default=False)),
                ("shipped", models.BooleanField(default=False)),
                ("billed", models.BooleanField(default=False)),
            ],
        ),
    ]
