# SPDX-License-Identifier: Apache-2.0
from itertools import islice
from multiprocessing import active_children

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('transformers')


from training.dataset import (
    Batches,
    background_depth,
    camera_sample,
    is_corridor,
    loader,
    network_grid,
    network_sample,
    split_textures,
)
from training.model import make_processor
from training.patterns import FAMILIES, TILE_M
from training.textures import texture_bank


def families(split: str) -> set[str]:
    names = texture_bank().names
    return {names[index] for indices in split_textures(split).values() for index in indices}


@pytest.mark.parametrize('split', ['validation', 'test', 'clip'])
def test_held_out_splits_share_no_texture_with_training(split: str) -> None:
    assert families('train') and families(split)
    assert families('train').isdisjoint(families(split))
    assert families('train') | families(split) == set(FAMILIES)


@pytest.mark.parametrize('split', ['train', 'test'])
def test_every_surface_has_a_choice_of_textures(split: str) -> None:
    assert all(len(indices) >= 8 for indices in split_textures(split).values())


def test_splits_differ_in_their_scenes() -> None:
    test, validation = (network_sample(split, 3, False, 96, 128)
                        for split in ('test', 'validation'))
    assert not torch.equal(test.depth, validation.depth)


def test_textures_repeat_after_two_metres() -> None:
    bank = texture_bank()
    u, v = torch.rand(2, 200) * TILE_M
    texture, footprint = torch.randint(len(bank.names), (200,)), torch.full((200,), 0.01)
    once = bank.sample(texture, u, v, footprint)
    again = bank.sample(texture, u + TILE_M, v + TILE_M, footprint)
    torch.testing.assert_close(once, again, rtol=0, atol=0.02)


@pytest.mark.parametrize('shape', [(96, 128), (192, 256)])
def test_padding_covers_what_the_image_does_not(shape: tuple[int, int]) -> None:
    sample = network_sample('train', 2, False, *shape)
    assert sample.image.shape == (3, *shape) and sample.depth.shape == shape
    grid = network_grid(*shape)
    inside = grid.inside_rows[:, None] & grid.inside_columns
    assert torch.equal(sample.depth > 0, inside)
    assert 0.68 < inside.float().mean() < 0.75


def test_training_images_look_like_the_pipelines() -> None:
    index = 0
    network = network_sample('test', index, is_corridor(index), 192, 256).image / 127.5 - 1
    frame = camera_sample('test', index).image.permute(1, 2, 0).numpy()
    pipeline = make_processor()(images=frame, return_tensors='pt').pixel_values[0]
    assert pipeline.shape == network.shape
    assert (pipeline - network).abs().mean() < 0.05


def test_batches_resume_where_they_stopped_and_never_repeat() -> None:
    whole = iter(Batches(0, 2, 48, 64))
    batches = [next(whole) for _ in range(4)]
    resumed = next(iter(Batches(2, 2, 48, 64)))
    other = next(iter(Batches(0, 2, 48, 64, seed=1)))
    assert torch.equal(resumed.images, batches[2].images)
    assert not torch.equal(batches[1].images, batches[0].images)
    assert not torch.equal(other.images, batches[0].images)


def test_mirrored_batches_are_the_same_scenes_seen_from_the_other_side() -> None:
    batch = next(iter(Batches(3, 2, 48, 64)))
    mirrored = batch.mirrored()
    assert mirrored.corridor == batch.corridor
    for name in ('images', 'depth', 'objects'):
        whole, other = getattr(batch, name), getattr(mirrored, name)
        assert not torch.equal(other, whole)
        for column in (0, 20, 63):
            assert torch.equal(other[..., column], whole[..., 63 - column])


def test_worker_processes_share_the_batches_out_in_order_and_end_in_order() -> None:
    alone = islice(Batches(0, 1, 48, 64), 4)
    shared = iter(loader(Batches(0, 1, 48, 64), 2))
    for one in alone:
        other = next(shared)
        assert torch.equal(one.images, other.images) and one.corridor == other.corridor
    workers = active_children()
    del shared
    assert len(workers) == 2 and not any(worker.exitcode for worker in workers)


def test_background_is_the_room_behind_the_objects() -> None:
    sample, background = camera_sample('test', 2), background_depth('test', 2)
    assert 0.05 < sample.objects.float().mean() < 0.95
    assert torch.equal(sample.depth[~sample.objects], background[~sample.objects])
    assert (sample.depth[sample.objects] < background[sample.objects]).all()


def test_the_network_sees_the_objects_of_the_whole_image() -> None:
    network, whole = network_sample('test', 0, False, 192, 256), camera_sample('test', 0)
    grid = network_grid(192, 256)
    inside = network.objects[grid.inside_rows][:, grid.inside_columns]
    nearest = whole.objects[grid.rows.round().long()][:, grid.columns.round().long()]
    assert (inside == nearest).float().mean() > 0.98
    assert not network.objects[network.depth == 0].any()
