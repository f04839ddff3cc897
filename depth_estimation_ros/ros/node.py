# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: wiring between parameters, cameras, worker and estimator."""

from __future__ import annotations

import logging
import math
import time
from contextlib import ExitStack
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from ..core.errors import DeviceLostError
from ..core.estimator import DepthEstimator, EstimatorOptions
from ..resources import DEMO_MODEL, model_folder
from . import parameters
from .bond import Bond
from .calibration_loading import calibrations_for
from .calibrations import CameraCalibration
from .camera import SECOND, Camera
from .cameras import cameras_for
from .converter import Converter, choose_converter
from .diagnostics import CameraWatch, model_facts, model_status
from .lifecycle import ManagedNode
from .logs import CoreLog, Throttle, one_line
from .mailbox import Frame
from .pipeline import Pipeline
from .settings import Range, Settings
from .settling import settled
from .worker import Worker

DEMO_FRAME = 'demo_camera_optical_frame'
"""The frame of the demo's own camera, the only one whose depth the demo model knows."""

GRACE = 1.0
"""Seconds that a shutdown waits for the batch in the network before the process ends."""

DIAGNOSTICS_PERIOD = 1.0


class SupersededError(Exception):
    """Other parameters are wanted than those by which a model was loaded."""


class DepthEstimationNode(ManagedNode):
    """Metric depth for one or more cameras."""

    def __init__(self) -> None:
        """Declare the parameters; raises ValueError when they make no sense together."""
        super().__init__('depth_estimation')
        self.settings = parameters.declare(self)
        self._throttle = Throttle(self.get_logger().warning)
        for name in parameters.unknown_overrides(self):
            self.get_logger().warning(f"parameter '{name}' is set, but the node has none of that "
                                      'name: is it misspelt?')
        self.add_pre_set_parameters_callback(parameters.converted)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)
        parameters.set_together(self)
        self._log = CoreLog(self.get_logger(), self.context.ok)
        core = logging.getLogger('depth_estimation_ros')
        core.addHandler(self._log)
        core.setLevel(logging.INFO)
        self._estimator: DepthEstimator | None = None
        self._converter: Converter | None = None
        self._worker: Worker | None = None
        self._cameras: list[Camera] = []
        self._calibrations: dict[str, CameraCalibration] = {}
        self._bond = Bond(self)
        self._foreign_camera_named = False
        self._reloading = False
        self._refused: tuple[EstimatorOptions, Range] | None = None
        """What could not be loaded; it is not tried again until something else is wanted."""
        self.lost: DeviceLostError | None = None
        """Why only a new process can serve any more; the process then ends with code 1."""
        self._awake = self.create_guard_condition(lambda: None)
        self.create_service(SetBool, '~/enable', self._enable)

    async def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm the model, create the outputs."""
        started = time.monotonic()
        self._refused = None
        self._converter = await self.beside(choose_converter)
        self._estimator = await self.beside(partial(DepthEstimator, self._wanted))
        far = self.settings.range.limits(self._estimator.range[1]).far
        self._calibrations = calibrations_for(self.settings, self._estimator)
        for camera in cameras_for(self.settings, self, self._estimator, self._calibrations,
                                  self._deliver):
            self._cameras.append(camera)  # one by one, so that what is made can be released
        if math.isinf(far) and any(camera.metric for camera in self._cameras):
            self.get_logger().warning('this model names no farthest distance, so sky has one: set '
                                      'far to the metres from which on depth is +Inf')
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_timer(
            DIAGNOSTICS_PERIOD, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._apply_settings()
        self.get_logger().info(
            f'configured {self._estimator.describe()}, images decoded by {self._converter.name}, '
            f'in {time.monotonic() - started:.1f} s')
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and receive images."""
        assert self._estimator is not None and self._converter is not None
        self._worker = Worker(Pipeline(
            self._estimator, self._converter.decode, settings=self.settings, now=self._now,
            warn=self._warn, calibrations=self._calibrations), fail=self._lose_device)
        self._watches = [
            CameraWatch(f'{self.get_fully_qualified_name()}: {camera.name or "camera"}',
                        camera.image_topic, self.get_logger().warning)
            for camera in self._cameras]
        result = super().on_activate(state)
        for camera in self._cameras:
            camera.subscribe()
        if not self.settings.serving.autostart:
            self._bond.start()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop receiving, let the batch in progress finish."""
        self.idle(None)
        assert self._estimator is not None
        self._estimator.adopt()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the device and remove the outputs."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self.release()
        self.get_logger().info('shut down: only a new process can serve again')
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that the node can be configured anew."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def release(self) -> None:
        """Give everything back, also what is half made; log what cannot be."""
        cameras, self._cameras = self._cameras, []
        estimator, self._estimator = self._estimator, None
        try:
            with ExitStack() as undo:  # which goes on after an error
                undo.callback(self.remove_made)
                for camera in cameras:
                    undo.callback(camera.close)
                if self.idle(GRACE) and estimator is not None:
                    undo.callback(estimator.close)
        except Exception as error:
            self.get_logger().error(f'not all could be released: {one_line(error)}')

    def idle(self, timeout: float | None) -> bool:
        """Stop receiving and drop what waits; return whether the worker's thread has ended."""
        worker, self._worker = self._worker, None
        with ExitStack() as undo:
            undo.callback(self._bond.end)
            for camera in self._cameras:
                undo.callback(camera.unsubscribe)
            return worker is None or worker.stop(timeout)

    def _deliver(self, frame: Frame) -> None:
        if self._worker is not None:
            self._worker.deliver(frame)
        frame_id = frame.message.header.frame_id
        if (self.settings.model.name == DEMO_MODEL and frame_id != DEMO_FRAME
                and not self._foreign_camera_named):
            self._foreign_camera_named = True
            self.get_logger().warning(
                f"the demo model knows only the demo's rendered rooms, not the camera in frame "
                f"'{frame_id}': do not trust its metres; set 'model' to {Settings().model.name}")

    def _warn(self, kind: str, message: str) -> None:
        if self.context.ok():  # after a signal nothing can be published any more
            self._throttle.warn(kind, message)

    def _lose_device(self, error: DeviceLostError) -> None:
        """Have the process end; called by the thread that finds out."""
        self.lost = error
        self._awake.trigger()

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) * SECOND

    def _check_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        return parameters.check(self.settings, changes, self._verify)

    def _verify(self, settings: Settings) -> None:
        """Raise ValueError or DepthError where the loaded model cannot serve the settings."""
        if self._estimator is not None:
            for model in (self._estimator.loaded, self._estimator.newest):
                settings.range.limits(model.range[1])
            self._estimator.check(settings.estimator_options(self._estimator.options.model))
            for calibration in self._calibrations.values():
                calibration.check_domain(settings.network.domain)

    def _take_parameters(self, _: list[Parameter]) -> None:
        self.settings = parameters.read(self)
        self._apply_settings()

    def _apply_settings(self) -> None:
        for camera, rate in zip(self._cameras, self.settings.cameras.rates(), strict=False):
            camera.rate.max_rate, camera.size = rate, self.settings.depth
            camera.monitor.settings = self.settings.monitor
        if self._worker is not None:
            self._worker.configure(self.settings)
        if self._estimator is not None and not self._reloading and self._outdated(self._wanted):
            self._reloading = True
            self.executor.create_task(self._reload)

    @property
    def _wanted(self) -> EstimatorOptions:
        return self.settings.estimator_options(model_folder(self.settings.model.name))

    def _outdated(self, wanted: EstimatorOptions) -> bool:
        return (self._estimator is not None and wanted != self._estimator.options
                and (wanted, self.settings.range) != self._refused)

    async def _reload(self) -> None:
        """Load the model that is wanted beside the one in use, until that is the one in use."""
        try:
            while self._outdated(wanted := await self.beside(self._settled)):
                self.get_logger().info('loading the network anew, beside the one in use')
                try:
                    await self._reconfigure(wanted)
                except SupersededError:
                    self.get_logger().info('other parameters are wanted meanwhile')
                except DeviceLostError as error:
                    self._lose_device(error)
                    break
                except Exception as error:
                    self._refused = wanted, self.settings.range
                    self.get_logger().error(f'the network stays as it is: {one_line(error)}')
        finally:
            self._reloading = False

    def _settled(self) -> EstimatorOptions:
        return settled(lambda: self._wanted)

    async def _reconfigure(self, wanted: EstimatorOptions) -> None:
        """Have the estimator load another model, and let it serve where nothing is served now."""
        estimator = self._estimator
        assert estimator is not None
        if await self.beside(partial(estimator.reconfigure, wanted,
                                     accept=partial(self._accept, wanted))):
            if self._estimator is not estimator:  # shut down meanwhile
                return
            self.get_logger().info(f'changed over to {estimator.describe()}')
            if self._worker is None:
                estimator.adopt()
            else:
                self._worker.adopt()

    def _accept(self, wanted: EstimatorOptions, range: tuple[float, float]) -> None:
        """Refuse a model that is not wanted any more, or with no depth in the settings' range."""
        if wanted != self._wanted:
            raise SupersededError
        self.settings.range.limits(range[1])

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Pause or resume; a service callback."""
        if self._worker is None:
            response.message = 'the node is not active'
            return response
        for camera in self._cameras:
            camera.paused = not request.data
        response.success, response.message = True, 'resumed' if request.data else 'paused'
        return response

    def _diagnose(self) -> None:
        assert self._estimator is not None and self._converter is not None
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        facts = {**model_facts(self._estimator), 'converter': self._converter.name}
        message.status = [model_status(
            f'{self.get_fully_qualified_name()}: model', facts, self._log.last_warning)]
        if self._worker is not None:
            message.status += [
                watch.status(camera.statistics.summary(), self._now(), DIAGNOSTICS_PERIOD,
                             camera.faults, self._calibrations.get(camera.name),
                             self._estimator.domain_of(camera.name), camera.facts,
                             camera.monitor)
                for watch, camera in zip(self._watches, self._cameras, strict=True)]
        self._diagnostics.publish(message)
