// Runs one loss layer of Caffe forward and backward, in double.
//
// Standard input: a line with the layer's LayerParameter as text, the numbers of rows, of columns and of
// labels a row, the inputs, the labels. Standard output: the loss, and the derivative of each input.

#include <google/protobuf/text_format.h>

#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/layers/softmax_layer.hpp"

namespace caffe {
// Their factory knows all layers; these two are all that the losses ask for.
REGISTER_LAYER_CLASS(Softmax);
REGISTER_LAYER_CLASS(Sigmoid);
}  // namespace caffe

int main() {
  using caffe::Blob;
  std::string text;
  std::getline(std::cin, text);
  caffe::LayerParameter parameter;
  if (!google::protobuf::TextFormat::ParseFromString(text, &parameter)) return 1;
  int rows, columns, labels_per_row;
  std::cin >> rows >> columns >> labels_per_row;
  Blob<double> input(std::vector<int>{rows, columns}), labels(std::vector<int>{rows, labels_per_row, 1, 1}), loss;
  if (labels_per_row > 1) labels.Reshape(std::vector<int>{rows, labels_per_row});
  for (int i = 0; i < input.count(); ++i) std::cin >> input.mutable_cpu_data()[i];
  for (int i = 0; i < labels.count(); ++i) std::cin >> labels.mutable_cpu_data()[i];
  if (!std::cin) return 1;

  std::vector<Blob<double>*> bottom{&input, &labels}, top{&loss};
  auto layer = caffe::LayerRegistry<double>::CreateLayer(parameter);
  layer->SetUp(bottom, top);
  layer->Forward(bottom, top);
  layer->Backward(top, {true, false}, bottom);
  std::printf("%.17g\n", loss.cpu_data()[0]);
  for (int i = 0; i < input.count(); ++i) std::printf("%.17g\n", input.cpu_diff()[i]);
}
