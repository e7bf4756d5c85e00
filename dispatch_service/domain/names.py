"""
Resource names of deliveries and resend jobs.
"""

from __future__ import annotations

DELIVERY_PREFIX = "dlv_"
"""
What delivery ids begin with on the wire; `webhook-id` is the wire form.
"""


JOB_PREFIX = "rsj_"
"""
What the ids of resend jobs begin with on the wire.
"""


def delivery_name(owner: str, delivery_id: str) -> str:
    """
    Name a delivery.
    """
    return f"{owner}/deliveries/{DELIVERY_PREFIX}{_hex(delivery_id)}"


def job_name(owner: str, job_id: str) -> str:
    """
    Name a resend job.
    """
    return f"{owner}/resendJobs/{JOB_PREFIX}{_hex(job_id)}"


def _hex(delivery_id: str) -> str:
    return delivery_id.replace("-", "")
