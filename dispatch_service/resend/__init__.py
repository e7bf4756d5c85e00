"""
Resends, resend jobs and cancellations: what people do about deliveries.
"""
