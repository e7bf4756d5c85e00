"""
The delivery engine, put together: everything between an accepted event and the
attempt that delivers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from dispatch_service.delivery import replicas
from dispatch_service.delivery.attempt import AttemptWorker
from dispatch_service.delivery.claim import Claimer, Places
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.expiry import Expirer
from dispatch_service.delivery.held_leases import HeldLeases
from dispatch_service.delivery.replicas import Liveness, Replicas, SubscriptionLimits
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.send import AttemptSender
from dispatch_service.delivery.suspect_attempts import SuspectAttempts
from dispatch_service.delivery.suspects import Suspects
from dispatch_service.domain import leases
from dispatch_service.domain.clock_watch import ClockWatch
from dispatch_service.domain.memory_usage import Bounds
from dispatch_service.egress.oauth_tokens import OAuthTokens
from dispatch_service.egress.requests import Transport
from dispatch_service.engine.feed_exchange import Feed, build_feed
from dispatch_service.figures.roll_up import FigureWriter
from dispatch_service.health.health_log import HealthLog
from dispatch_service.health.url_verifier import UrlVerifier
from dispatch_service.intake.accept import EventAcceptor
from dispatch_service.intake.backlog_limits import Backlog
from dispatch_service.intake.commit import GroupCommitter
from dispatch_service.intake.late_batches import LateBatches
from dispatch_service.intake.late_match import Matcher
from dispatch_service.intake.match_positions import position_of
from dispatch_service.intake.skipped import SkippedCounts
from dispatch_service.intake.waiting import WaitingEvents
from dispatch_service.log.usage import LogUsage, LogUsageSync
from dispatch_service.parts import Parts, build_jobs, guarded_transport
from dispatch_service.resend.job_runner import JobRunner
from dispatch_service.upkeep.schedule import Maintenance
from service_runtime.process.progress import Progress, Readiness


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    From a leased delivery to its written result.
    """

    endpoints: Endpoints
    replicas: Replicas
    results: ResultWriter
    endpoint_queues: EndpointQueues
    suspects: Suspects
    claimer: Claimer
    claims: Progress
    expirer: Expirer
    log_usage: LogUsage


@dataclass(frozen=True, slots=True)
class Acceptance:
    """
    From a published event to its committed rows.
    """

    backlog: Backlog
    skipped: SkippedCounts
    waiting: WaitingEvents
    committer: GroupCommitter
    acceptor: EventAcceptor


@dataclass(frozen=True, slots=True)
class Engine:
    """
    All that has to be started and stopped.
    """

    health_log: HealthLog
    delivery: Delivery
    acceptance: Acceptance
    feed: Feed
    late: LateBatches
    jobs: JobRunner
    maintenance: Maintenance
    log_usage: LogUsageSync
    figures: FigureWriter
    verifier: UrlVerifier

    def readiness(self) -> Readiness:
        """
        Return what tells whether all loops that write get through.
        """
        commits, results = self.acceptance.committer.progress, self.delivery.results.progress
        return Readiness([commits, results, self.delivery.claims])


def build_engine(parts: Parts) -> Engine:
    """
    Put the engine together.
    """
    health_log = HealthLog(
        parts.queue,
        parts.subscriptions,
        parts.keys,
        parts.lease,
        report_after=parts.settings.failing_after,
    )
    transport = guarded_transport(parts.settings, parts.stack)
    delivery = _delivery(parts, health_log, transport)
    acceptance = _acceptance(parts, delivery)
    feed = build_feed(parts, health_log, delivery.endpoints, acceptance.skipped)
    return Engine(
        health_log,
        delivery,
        acceptance,
        feed,
        late=_late(parts, delivery, acceptance, feed),
        jobs=build_jobs(parts, acceptance.backlog.refusals),
        maintenance=Maintenance(
            parts.bulk_store,
            parts.subscriptions,
            parts.settings.retention(),
            interval_seconds=parts.settings.maintenance_interval.total_seconds(),
        ),
        log_usage=LogUsageSync(parts.bulk_store, delivery.log_usage),
        figures=FigureWriter(parts.store, parts.bulk_store, parts.lease.owner),
        verifier=UrlVerifier(
            parts.bulk_store,
            parts.subscriptions,
            transport,
            clock=parts.clock,
            deadline=parts.settings.deadline.total_seconds(),
        ),
    )


def _delivery(parts: Parts, health_log: HealthLog, transport: Transport) -> Delivery:
    settings = parts.settings
    endpoints = Endpoints(settings.endpoint_concurrency, settings.most_endpoint_concurrency)
    clock = ClockWatch()
    replicas = Replicas(
        parts.store,
        endpoints,
        parts.lease.owner,
        clock,
        parts.lease.duration,
        parts.signals.deliveries_due.set,
    )
    held, log_usage = HeldLeases(), LogUsage(settings.owner_log_mb * 1024 * 1024)
    results = ResultWriter(
        parts.queue,
        parts.subscriptions,
        parts.keys,
        health_log.on_settled,
        health_log.has_effects,
        unblocked=parts.signals.deliveries_due.set,
        progress=Progress("results", replicas.beat),
        held=held,
        log_usage=log_usage,
    )
    suspect_attempts = SuspectAttempts(parts.store, parts.lease.owner)
    endpoint_queues = EndpointQueues(
        _worker(parts, results, endpoints, suspect_attempts, transport, replicas.liveness).deliver,
        results.release,
        endpoints,
        Bounds(
            settings.total_concurrency,
            settings.most_waiting,
            horizon=leases.horizon(
                settings.lease.total_seconds(), settings.deadline.total_seconds()
            ),
            share_percent=settings.owner_share_percent,
        ),
        SubscriptionLimits(parts.subscriptions, replicas).of,
        held.add,
    )
    suspects = Suspects(
        suspect_attempts,
        held,
        endpoint_queues.admit,
        results.release,
        control_seconds=settings.control_time.total_seconds(),
    )
    places = Places(endpoint_queues, suspects, results, held)
    claimer = Claimer(parts.queue, places, endpoints, parts.keys, parts.lease, clock)
    expirer = Expirer(parts.store, parts.subscriptions, parts.signals.deliveries_due.set, clock)
    claims = Progress("claims")
    return Delivery(
        endpoints, replicas, results, endpoint_queues, suspects, claimer, claims, expirer, log_usage
    )


def _worker(
    parts: Parts,
    results: ResultWriter,
    endpoints: Endpoints,
    suspect_attempts: SuspectAttempts,
    transport: Transport,
    liveness: Liveness | None,
) -> AttemptWorker:
    deadline = parts.settings.deadline.total_seconds()
    sender = AttemptSender(
        parts.subscriptions,
        transport,
        OAuthTokens(transport),
        clock=parts.clock,
        deadline=deadline,
    )
    return AttemptWorker(
        parts.subscriptions,
        sender,
        results,
        endpoints,
        suspect_attempts,
        deadline=deadline,
        liveness=liveness,
    )


def _acceptance(parts: Parts, delivery: Delivery) -> Acceptance:
    settings = parts.settings
    unfinished = delivery.results.unfinished
    backlog = Backlog(parts.bulk_store, settings.backlog_limits(), unfinished)
    skipped = SkippedCounts()
    fan_out, percent = parts.subscriptions.fan_out, settings.owner_share_percent
    waiting = WaitingEvents(settings.most_waiting, percent, fan_out)
    committer = GroupCommitter(
        waiting,
        parts.queue,
        delivery.endpoint_queues,
        parts.lease,
        parts.subscriptions,
        parts.keys,
        skipped,
        unfinished,
        progress=Progress("commits", delivery.replicas.beat),
    )
    acceptor = EventAcceptor(parts.store, parts.keys, waiting, backlog)
    return Acceptance(backlog, skipped, waiting, committer, acceptor)


def _late(parts: Parts, delivery: Delivery, acceptance: Acceptance, feed: Feed) -> LateBatches:
    alone = parts.store.dialect.name == "sqlite"
    return LateBatches(
        parts.bulk_store,
        Matcher(parts.bulk_store, parts.queue, parts.keys, parts.subscriptions, parts.lease),
        parts.subscriptions,
        feed.newly_known,
        partial(position_of, feed.applier),
        [acceptance.waiting.in_flight, delivery.results.in_flight],
        name=parts.lease.owner,
        alive_for=timedelta() if alone else replicas.ALIVE_FOR,
        became_due=parts.signals.deliveries_due.set,
    )
