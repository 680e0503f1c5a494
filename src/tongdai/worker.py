"""The long-running loops: the dialer, and the rare and periodic jobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import procrastinate

from tongdai.bootstrap import NodeRecordings, Platform
from tongdai.domain import campaigns, compliance, dialer, inbound, recordings, scripts, webhooks, zalo
from tongdai.domain.zalo import Bridge
from tongdai.kit import upkeep
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.kit.readiness import schema_fault
from tongdai.kit.running import cancel_all
from tongdai.settings import Settings

logger = logging.getLogger(__name__)

HOURLY = "7 * * * *"
EVERY_TEN_MINUTES = "*/10 * * * *"
JOBS_AT_ONCE = 4
SOON_AGAIN = procrastinate.RetryStrategy(max_attempts=20, wait=60, retry_exceptions=TRANSIENT_ERRORS)
"""For what another transaction may have been in the way of."""
GRACE_S = 5.0
"""What a job in progress gets to end at a stop; it is run again otherwise."""
WIND_UP_S = 12.0
"""What requests under way and their results get then; less than a supervisor waits for before it kills."""


class SchemaFaultError(Exception):
    """The database does not have the schema of this version: run `tongdai migrate`."""


async def run_dialer(platform: Platform, stop: asyncio.Event) -> None:
    """Dial until told to stop. Raises SchemaFaultError."""
    async with _database(platform):
        sounds = platform.sounds()
        one = dialer.Dialer(
            platform.db,
            platform.engines(),
            platform.keyring,
            load_script=scripts.load_version,
            policies=platform.policies(),
            config=dialer_config(platform.settings),
            make_engine=platform.engine_maker(sounds),
            guests=[inbound.Desk(platform.db, load_script=scripts.load_version)],
            sounds=sounds,
        )
        await one.run(stop)


def dialer_config(settings: Settings) -> dialer.DialerConfig:
    """The part of the settings that dialling follows."""
    rules = dialer.ClaimRules(
        budget=settings.dialer_batch,
        horizon=timedelta(seconds=settings.dialer_horizon_s),
        end_margin=timedelta(seconds=settings.dialer_end_margin_s),
    )
    return dialer.DialerConfig(
        rules=rules,
        max_calls=settings.dialer_max_calls,
        engine_timeout_s=settings.dialer_engine_timeout_s,
        look_ahead=settings.speech_look_ahead,
    )


async def run_jobs(platform: Platform, stop: asyncio.Event) -> None:
    """Run jobs, the periodic ones among them, read contact files, send webhooks, fetch recordings, follow
    Zalo's messages, and keep the tokens of Official Accounts good, until told to stop.

    Raises SchemaFaultError.
    """
    async with (
        _database(platform),
        _hints(platform),
        _bridge(platform) as bridge,
        recording_fetcher(platform) as fetcher,
    ):
        app = job_app(platform)
        async with app.open_async():
            jobs = app.run_worker_async(
                concurrency=JOBS_AT_ONCE,
                delete_jobs="successful",
                install_signal_handlers=False,
                shutdown_graceful_timeout=GRACE_S,
            )
            told = [
                file_importer(platform).run(stop),
                webhook_sender(platform).run(stop),
                zalo.Follower(bridge).run(stop),
                zalo.Keeper(bridge).run(stop),
                fetcher.run(stop),
            ]
            await _until_stopped(stop, jobs, told=told)


async def _until_stopped(
    stop: asyncio.Event, *loops: Coroutine[Any, Any, None], told: Sequence[Coroutine[Any, Any, None]]
) -> None:
    """Runs loops that should not end by themselves. One that does ends the others; its error is raised.

    Those that are `told` by `stop` itself get some time to end what they have begun.
    """
    tasks = [asyncio.create_task(loop) for loop in loops]
    told_tasks = [asyncio.create_task(loop) for loop in told]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([*tasks, *told_tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await asyncio.wait(told_tasks, timeout=WIND_UP_S)
    finally:
        await cancel_all([*tasks, *told_tasks, stopping])
    for task in (*tasks, *told_tasks):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def webhook_sender(platform: Platform) -> webhooks.Sender:
    """What posts to customers' servers."""
    settings = platform.settings
    config = webhooks.SenderConfig(
        rules=webhooks.SendingRules(give_up=timedelta(seconds=settings.webhooks_give_up_s)),
        max_in_flight=settings.webhooks_max_in_flight,
    )
    return webhooks.Sender(
        platform.db, platform.keyring, platform.clock, platform.poster(), platform.renderers(), config
    )


def file_importer(platform: Platform) -> campaigns.FileImporter:
    """What reads contact files into campaigns."""
    services = platform.services
    return campaigns.FileImporter(
        platform.db, services.storage, platform.keyring, platform.clock, services.hinter
    )


def job_app(platform: Platform) -> procrastinate.App:
    """The queue and all that may run on it. Not opened yet."""
    connector = procrastinate.PsycopgConnector(
        conninfo=platform.settings.database_url, min_size=1, max_size=4
    )
    app = procrastinate.App(connector=connector)

    @app.periodic(cron=HOURLY)
    @app.task(name="ensure_partitions", queueing_lock="ensure_partitions", retry=SOON_AGAIN)
    async def ensure_partitions(timestamp: int) -> None:
        async with platform.db.transaction() as tx:
            made = await upkeep.ensure_partitions(tx)
        if made:
            logger.info("made partitions", extra={"made": made})

    @app.periodic(cron=EVERY_TEN_MINUTES)
    @app.task(name="check_counters", queueing_lock="check_counters")
    async def check_counters(timestamp: int) -> None:
        async with platform.db.transaction() as tx:
            drifted = await upkeep.counter_drift(tx)
        for one in drifted:
            logger.error(
                "results are miscounted",
                extra={"scope": one.scope, "id": one.scope_id, "least": one.least, "most": one.most},
            )

    @app.periodic(cron=EVERY_TEN_MINUTES)
    @app.task(name="recount_limits", queueing_lock="recount_limits")
    async def recount_limits(timestamp: int) -> None:
        await dialer.recount_limits(platform.db)

    _add_forgetting(app, platform)
    _add_recordings(app, platform)
    return app


def _add_forgetting(app: procrastinate.App, platform: Platform) -> None:
    """The jobs that delete what is too old."""

    @app.periodic(cron=HOURLY)
    @app.task(name="forget_contact_files", queueing_lock="forget_contact_files", retry=SOON_AGAIN)
    async def forget_contact_files(timestamp: int) -> None:
        seen_to = 1
        while seen_to:
            async with platform.db.transaction() as tx:
                seen_to = await campaigns.forget_old_files(
                    tx, platform.services.storage, platform.clock.now()
                )

    @app.periodic(cron=HOURLY)
    @app.task(name="forget_webhooks", queueing_lock="forget_webhooks", retry=SOON_AGAIN)
    async def forget_webhooks(timestamp: int) -> None:
        before = platform.clock.now() - timedelta(days=platform.settings.webhooks_keep_days)
        gone = await webhooks.forget_old(platform.db, before)
        if gone:
            logger.info("forgot webhook deliveries", extra={"gone": gone})

    @app.periodic(cron=HOURLY)
    @app.task(name="forget_zalo_events", queueing_lock="forget_zalo_events", retry=SOON_AGAIN)
    async def forget_zalo_events(timestamp: int) -> None:
        await zalo.forget_events(platform.db, platform.clock.now())

    @app.periodic(cron=HOURLY)
    @app.task(name="forget_zalo_keys", queueing_lock="forget_zalo_keys", retry=SOON_AGAIN)
    async def forget_zalo_keys(timestamp: int) -> None:
        gone = 1
        while gone:
            async with platform.db.transaction() as tx:
                gone = await zalo.forget_journey_keys(tx, platform.clock.now())

    @app.periodic(cron=HOURLY)
    @app.task(name="purge_rings", queueing_lock="purge_rings", retry=SOON_AGAIN)
    async def purge_rings(timestamp: int) -> None:
        gone = compliance.PURGED_AT_ONCE
        while gone == compliance.PURGED_AT_ONCE:
            async with platform.db.transaction() as tx:
                gone = await compliance.purge_rings(tx, platform.clock.now())


def _add_recordings(app: procrastinate.App, platform: Platform) -> None:
    """The job that deletes what was kept for long enough."""

    @app.periodic(cron=EVERY_TEN_MINUTES)
    @app.task(name="forget_recordings", queueing_lock="forget_recordings", retry=SOON_AGAIN)
    async def forget_recordings(timestamp: int) -> None:
        await recordings.follow_rules(platform.db, platform.clock.now())
        gone = await recordings.expire(platform.db, platform.clock.now())
        if gone:
            logger.info("deleted recordings", extra={"gone": gone})


@asynccontextmanager
async def _hints(platform: Platform) -> AsyncIterator[None]:
    """With the dialers being woken for what is given to campaigns here."""
    await platform.services.hinter.start()
    try:
        yield
    finally:
        await platform.services.hinter.stop()


@asynccontextmanager
async def _bridge(platform: Platform) -> AsyncIterator[Bridge]:
    """What the loops that ask Zalo are given, with a client that runs."""
    client = platform.zalo_client()
    await client.start()
    try:
        yield Bridge(platform.db, platform.keyring, platform.clock, client)
    finally:
        await client.stop()


@asynccontextmanager
async def recording_fetcher(platform: Platform) -> AsyncIterator[recordings.Fetcher]:
    """What brings recordings from the nodes to where they are kept, with clients of the nodes."""
    nodes = NodeRecordings(platform.db, platform.keyring)
    try:
        yield recordings.Fetcher(
            platform.db,
            nodes.stores,
            platform.services.recorded,
            platform.clock,
            make_mp3=platform.mp3_maker(),
        )
    finally:
        await nodes.close()


@asynccontextmanager
async def _database(platform: Platform) -> AsyncIterator[None]:
    await platform.db.open()
    try:
        async with platform.db.autocommit() as connection:
            fault = await schema_fault(connection)
        if fault is not None:
            raise SchemaFaultError(f"{fault}; run `tongdai migrate`")
        yield
    finally:
        await platform.db.close()
