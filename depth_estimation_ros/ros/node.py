"""The lifecycle node: wiring between parameters, cameras, worker and estimator."""

from __future__ import annotations

import logging
import time
from queue import SimpleQueue
from threading import Lock, Thread

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from ..core.errors import DepthError, DeviceLostError
from ..core.estimator import DepthEstimator, EstimatorOptions
from ..resources import DEMO_MODEL, model_folder
from . import parameters
from .camera import SECOND, Camera
from .converter import Converter, choose_converter
from .diagnostics import CameraWatch, model_status
from .logs import CoreLog, Throttle
from .mailbox import Frame
from .parameters import Settings
from .worker import Worker

DEMO_FRAME = 'demo_camera_optical_frame'
"""The frame of the demo's own camera, the only one whose depth the demo model knows."""

GRACE = 1.0
"""Seconds that a shutdown waits for the batch in the network before the process ends."""

DIAGNOSTICS_PERIOD = 1.0


class DepthEstimationNode(LifecycleNode):
    """Metric depth for one or more cameras."""

    def __init__(self) -> None:
        """Declare the parameters; raises ValueError when they make no sense together."""
        super().__init__('depth_estimation')
        self._settings = parameters.declare(self)
        self._throttle = Throttle(self.get_logger())
        for name in parameters.unknown_overrides(self):
            self.get_logger().warning(f"parameter '{name}' is set, but the node has none of that "
                                      'name: is it misspelt?')
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)
        self._log = CoreLog(self.get_logger())
        core = logging.getLogger('depth_estimation_ros')
        core.addHandler(self._log)
        core.setLevel(logging.INFO)
        self._estimator: DepthEstimator | None = None
        self._converter: Converter | None = None
        self._worker: Worker | None = None
        self._cameras: list[Camera] = []
        self._foreign_camera_named = False
        self._expected: set[tuple[int, int]] = set()
        """Height and width of each camera's images."""
        self._loading = Lock()
        self._refused: EstimatorOptions | None = None
        """What could not be loaded; it is not tried again until something else is wanted."""
        self._successors: SimpleQueue[DepthEstimator] = SimpleQueue()
        self._rebuilt = self.create_guard_condition(self._succeed)
        self.lost: DeviceLostError | None = None
        """Why only a new process can serve any more; the process then ends with code 1."""
        self._awake = self.create_guard_condition(lambda: None)
        self.create_service(SetBool, '~/enable', self._enable)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm the model, create the outputs."""
        started = time.monotonic()
        try:
            estimator = DepthEstimator(self._wanted)
            self._settings.range(estimator.range[1])
        except (DepthError, LookupError, ValueError) as error:
            self.get_logger().error(f'cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self._estimator = estimator
        self._converter = choose_converter()
        self._cameras = [
            Camera(self, name, transport=self._settings.image_transport, deliver=self._deliver,
                   warn=self.get_logger().warning, expect=self._expect)
            for name in self._settings.cameras]
        self._apply_settings()
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._watches = [
            CameraWatch(f'{self.get_fully_qualified_name()}: {camera.name or "camera"}',
                        camera.image_topic)
            for camera in self._cameras]
        self._timer = self.create_timer(
            DIAGNOSTICS_PERIOD, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(
            f'configured {self._estimator.describe()}, images decoded by {self._converter.name}, '
            f'in {time.monotonic() - started:.1f} s')
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and receive images."""
        assert self._estimator is not None and self._converter is not None
        self._worker = Worker(
            self._estimator, self._converter.decode, settings=self._settings,
            now=self._now, warn=self._warn, fail=self._lose_device)
        result = super().on_activate(state)
        for camera in self._cameras:
            camera.subscribe()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop receiving, let the batch in hand finish."""
        self.rest(None)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the device and remove the outputs."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that the node can be configured anew."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def release(self) -> None:
        """Give everything back."""
        ended = self.rest(GRACE)
        for camera in self._cameras:
            camera.close()
        if self._estimator is not None:
            self.destroy_timer(self._timer)
            self.destroy_publisher(self._diagnostics)
            if ended:
                self._estimator.close()
        self._cameras, self._estimator = [], None
        self._expected.clear()

    def rest(self, timeout: float | None) -> bool:
        """Stop receiving and drop what waits; return whether the worker's thread has ended."""
        for camera in self._cameras:
            camera.unsubscribe()
        worker, self._worker = self._worker, None
        return worker is None or worker.stop(timeout)

    def destroy_node(self) -> None:
        """Destroy the node and leave the graph at once."""
        machine = self._state_machine  # rclpy keeps it, and it keeps the node in the graph
        super().destroy_node()
        machine.destroy_when_not_in_use()

    def _expect(self, height: int, width: int) -> None:
        """Have the network made ready for images of a size before one is served."""
        self._expected.add((height, width))
        if self._estimator is not None:
            self._estimator.prepare(height, width)

    def _deliver(self, frame: Frame) -> None:
        if self._worker is not None:
            self._worker.deliver(frame)
        frame_id = frame.message.header.frame_id
        if (self._settings.model == DEMO_MODEL and frame_id != DEMO_FRAME
                and not self._foreign_camera_named):
            self._foreign_camera_named = True
            self.get_logger().warning(
                f"the demo model knows only the demo's rendered rooms, not the camera in frame "
                f"'{frame_id}': do not trust its metres; set 'model' to {Settings().model}")

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
        return parameters.check(self._settings, changes, self._verify)

    def _verify(self, settings: Settings) -> None:
        """Raise ValueError or DepthError where the loaded model cannot serve the settings."""
        if self._estimator is not None:
            settings.range(self._estimator.range[1])
            self._estimator.check(settings.estimator_options(self._estimator.options.model))

    def _take_parameters(self, _: list[Parameter]) -> None:
        self._settings = parameters.read(self)
        self._apply_settings()

    def _apply_settings(self) -> None:
        for camera, rate in zip(self._cameras, self._settings.rates(), strict=False):
            camera.rate.max_rate = rate
        if self._worker is not None:
            self._worker.configure(self._settings)
        if self._estimator is not None and self._wanted not in (
                self._estimator.options, self._refused):
            Thread(target=self._rebuild, args=(self._wanted,), daemon=True).start()

    @property
    def _wanted(self) -> EstimatorOptions:
        return self._settings.estimator_options(model_folder(self._settings.model))

    def _rebuild(self, options: EstimatorOptions) -> None:
        """Load a model beside the one in use, in a thread of its own; hand it to the executor."""
        with self._loading:
            if options != self._wanted:
                return
            try:
                self._successors.put(self._ready(DepthEstimator(options)))
            except DeviceLostError as error:
                self._lose_device(error)
            except (DepthError, RuntimeError, OSError) as error:
                self._refused = options
                self.get_logger().error(f'the network stays as it is: {error}')
            self._rebuilt.trigger()

    def _ready(self, estimator: DepthEstimator) -> DepthEstimator:
        for height, width in tuple(self._expected):
            estimator.prepare(height, width)
        return estimator

    def _succeed(self) -> None:
        """Put a model that was loaded beside the old one in its place."""
        while not self._successors.empty():
            successor = self._successors.get()
            if self._estimator is None or successor.options != self._wanted:
                successor.close()
                continue
            old, self._estimator = self._estimator, successor
            self.get_logger().info(f'changed over to {successor.describe()}')
            if self._worker is not None:
                self._worker.replace(successor)
            else:
                old.close()

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
        facts = {'model': self._estimator.name, 'device': self._estimator.device_name,
                 'precision': self._estimator.precision, 'backend': self._estimator.backend,
                 'building': str(self._estimator.building).lower(),
                 'converter': self._converter.name,
                 'device_mb': f'{self._estimator.device_bytes / 2**20:.0f}'}
        message.status = [model_status(
            f'{self.get_fully_qualified_name()}: model', facts, self._log.last_warning)]
        if self._worker is not None:
            message.status += [
                watch.status(camera.tally.summary(), self._now(), DIAGNOSTICS_PERIOD,
                             camera.faults)
                for watch, camera in zip(self._watches, self._cameras, strict=True)]
        self._diagnostics.publish(message)
