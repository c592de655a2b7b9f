"""`make bench`. Its callers wait for the network as the services do."""

import os

from libs.grpc_settings import grpc_settings

os.environ.update(grpc_settings())
