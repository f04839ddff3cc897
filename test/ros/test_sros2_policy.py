# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy allows just what the running node has: no topic more, none less."""

from xml.etree import ElementTree

from .conftest import image

OPTIONAL = {'/image/compressed', '/prompt/depth', '/clock', '/bond'}
"""Only with image_transport: compressed, prompts, use_sim_time, bondpy and a manager."""


def allowed(root, kind: str, role: str) -> set[str]:
    policy = ElementTree.parse(root / 'config' / 'sros2_policy.xml').getroot()
    names = [element.text or '' for group in policy.iter(f'{kind}s') if group.get(role) == 'ALLOW'
             for element in group]
    return {name.replace('~', '/depth_estimation') if name.startswith('~') else
            f'/{name}'.replace('//', '/') for name in names}


def test_topics_and_services_are_the_running_nodes(start, checkpoint, peer, root):
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    peer.depth_of(image())
    own = ('depth_estimation', '/')
    published = {name for name, _ in peer.get_publisher_names_and_types_by_node(*own)}
    subscribed = {name for name, _ in peer.get_subscriber_names_and_types_by_node(*own)}
    served = {name for name, _ in peer.get_service_names_and_types_by_node(*own)}
    assert published == allowed(root, 'topic', 'publish') - OPTIONAL
    assert subscribed == allowed(root, 'topic', 'subscribe') - OPTIONAL
    assert served == allowed(root, 'service', 'reply')
    node.end()
